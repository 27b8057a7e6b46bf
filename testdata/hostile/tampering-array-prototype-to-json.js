// class: tampering
// expect: 504
Array.prototype.toJSON = function () { for (;;) {} }; Spark.setScriptData("a", [1]);
