// class: logs
// expect: 200
var o = {}; for (var i = 0; i < 1e4; i++) o = [o]; Spark.getLog().info(o);
