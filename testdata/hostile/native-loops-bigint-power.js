// class: native-loops
// expect: any
var b = 7n ** 5000000n; Spark.setScriptData("n", String(b).length);
