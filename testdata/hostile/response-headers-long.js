// class: response
// expect: 200
Spark.setScriptData("RESPONSE_HEADERS", { "X-A": "v".repeat(1 << 22) });
