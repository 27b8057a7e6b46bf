// class: response
// expect: any
Spark.setScriptData("RESPONSE_RAW", "x".repeat(1 << 24));
