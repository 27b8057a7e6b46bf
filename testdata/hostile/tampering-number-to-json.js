// class: tampering
// expect: 504
Number.prototype.toJSON = Boolean.prototype.toJSON = function () { for (;;) {} }; Spark.setScriptData("a", new Number(1));
