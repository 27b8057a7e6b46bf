// class: outbound
// expect: 200
// The server is asked to call itself, from its own worker.
Spark.getHttp("http://" + (Spark.getData().host || "127.0.0.1:1") + "/callback/E3/honest/s3cret").get();
