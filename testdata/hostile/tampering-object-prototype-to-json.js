// class: tampering
// expect: any
Object.prototype.toJSON = function () { for (;;) {} }; Spark.setScriptData("a", {});
