// class: response
// expect: 200
Spark.setScriptError("a", "x".repeat(1 << 16)); Spark.setScriptData("RESPONSE_RAW", "y");
