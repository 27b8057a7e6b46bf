// class: logs
// expect: 504
var o = {}; for (var i = 0; i < 40; i++) o = [o, o]; Spark.getLog().info(o);
