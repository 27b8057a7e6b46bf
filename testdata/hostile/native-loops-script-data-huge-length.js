// class: native-loops
// expect: 500
// tier: deep
var a = []; a.length = 4294967295;
Spark.setScriptData("a", a);
