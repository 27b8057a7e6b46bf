// class: response
// expect: 500
var o = []; for (var i = 0; i < 1e4; i++) o = [o]; Spark.setScriptData("RESPONSE_RAW", o);
