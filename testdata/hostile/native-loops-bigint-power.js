// class: native-loops
// expect: 504
var b = 7n ** 5000000n; Spark.setScriptData("n", String(b).length);
