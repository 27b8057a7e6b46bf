// class: outbound
// expect: 500
Spark.getHttp("http://127.0.0.1:1/").postForm({ a: { toJSON() {} } });
