// class: native-loops
// expect: 200
var a = []; a[4294967294] = 1; a.length = 0;
Spark.setScriptData("n", a.length);
