// class: native-loops
// expect: 200
var a = []; a[4294967294] = 1; var n = 0; for (var k in a) n++;
Spark.setScriptData("n", n);
