// class: recursion
// expect: 500
var o = {}; for (var i = 0; i < 1e5; i++) o = { o: o };
Spark.setScriptData("o", o);
