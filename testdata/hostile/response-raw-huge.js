// class: response
// expect: 500
Spark.setScriptData("RESPONSE_RAW", "x".repeat(1 << 24));
