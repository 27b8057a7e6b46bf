// class: response
// expect: any
Spark.setScriptData("RESPONSE_HEADERS", { "X-A": "v".repeat(1 << 22) });
