// class: response
// expect: 200
Spark.setScriptData("RESPONSE_HEADERS", { "Content-Type": "text/html; charset=utf-7" }); Spark.setScriptData("RESPONSE_RAW", "+ADw-script+AD4-");
