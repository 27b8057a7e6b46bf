// class: outbound
// expect: 200
Spark.setScriptData("r", String(Spark.getHttp("http://127.0.0.1:1/").get()));
