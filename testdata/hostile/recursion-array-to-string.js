// class: recursion
// expect: 200
var a = []; a[0] = a;
Spark.setScriptData("s", String(a));
