// class: response
// expect: any
Spark.setScriptData("RESPONSE_HEADERS", ["X-A", "b"]);
