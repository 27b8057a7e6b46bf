// class: tampering
// expect: 200
String.prototype.toJSON = function () { return "x" }; Spark.setScriptData("a", "b");
