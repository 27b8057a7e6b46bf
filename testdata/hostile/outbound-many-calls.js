// class: outbound
// expect: 200
for (var i = 0; i < 1e4; i++) Spark.getHttp("http://127.0.0.1:1/", 5).get();
