// class: response
// expect: 204
Spark.setScriptData("RESPONSE_STATUS", 204); Spark.setScriptData("RESPONSE_RAW", "x".repeat(1 << 16));
