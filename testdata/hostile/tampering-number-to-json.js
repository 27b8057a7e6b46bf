// class: tampering
// expect: any
Number.prototype.toJSON = Boolean.prototype.toJSON = function () { for (;;) {} }; Spark.setScriptData("a", new Number(1));
