// class: tampering
// expect: 504
Object.prototype.toJSON = function () { for (;;) {} }; Spark.setScriptData("a", {});
