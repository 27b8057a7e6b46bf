// class: logs
// expect: any
var a = new Array(1e6).fill({ a: 1 }); Spark.getLog().info(a);
