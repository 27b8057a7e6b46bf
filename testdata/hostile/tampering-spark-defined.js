// class: tampering
// expect: any
Object.defineProperty(Spark, "getData", { get: function () { for (;;) {} } }); Spark.getData();
