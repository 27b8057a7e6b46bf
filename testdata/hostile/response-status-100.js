// class: response
// expect: 500
Spark.setScriptData("RESPONSE_STATUS", 100);
