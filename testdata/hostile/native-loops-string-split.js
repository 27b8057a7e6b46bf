// class: native-loops
// expect: 200
// tier: deep
Spark.setScriptData("n", "ab".repeat(1 << 20).split("").length);
