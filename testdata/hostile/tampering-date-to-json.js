// class: tampering
// expect: 504
Date.prototype.toJSON = function () { for (;;) {} }; Spark.setScriptData("a", new Date(0));
