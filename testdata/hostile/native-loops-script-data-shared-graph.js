// class: native-loops
// expect: 504
var o = []; for (var i = 0; i < 60; i++) o = [o, o];
Spark.setScriptData("o", o);
