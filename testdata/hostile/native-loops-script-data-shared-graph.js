// class: native-loops
// expect: any
var o = []; for (var i = 0; i < 60; i++) o = [o, o];
Spark.setScriptData("o", o);
