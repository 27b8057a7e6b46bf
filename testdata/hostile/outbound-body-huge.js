// class: outbound
// expect: 200
Spark.getHttp("http://127.0.0.1:1/").postString("x".repeat(1 << 24));
