// class: response
// expect: 200
Spark.setScriptData("RESPONSE_RAW", "\ud800\udfff\udc00");
