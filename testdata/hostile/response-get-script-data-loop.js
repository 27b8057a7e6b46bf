// class: response
// expect: 504
Spark.setScriptData("a", "x".repeat(1 << 16)); for (;;) Spark.getScriptData("a");
