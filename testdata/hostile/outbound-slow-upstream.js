// class: outbound
// expect: 200
Spark.getHttp(Spark.getData().slow || "http://127.0.0.1:1/", 1e6).get();
