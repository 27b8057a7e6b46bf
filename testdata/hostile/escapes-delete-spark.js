// class: escapes
// expect: 500
delete Object.getPrototypeOf(globalThis).Spark; Spark = undefined; Spark.getData();
