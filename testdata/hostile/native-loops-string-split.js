// class: native-loops
// expect: 200
Spark.setScriptData("n", "ab".repeat(1 << 20).split("").length);
