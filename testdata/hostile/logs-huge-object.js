// class: logs
// expect: 200
// tier: deep
var a = new Array(1e6).fill({ a: 1 }); Spark.getLog().info(a);
