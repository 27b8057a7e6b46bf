// class: escapes
// expect: 500
Spark.constructor.constructor("return this")().process.exit();
