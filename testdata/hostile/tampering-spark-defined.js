// class: tampering
// expect: 500
Object.defineProperty(Spark, "getData", { get: function () { for (;;) {} } }); Spark.getData();
