// class: response
// expect: 200
Spark.setScriptData("RESPONSE_HEADERS", { "Content-Encoding": "gzip" }); Spark.setScriptData("RESPONSE_RAW", "not gzip");
