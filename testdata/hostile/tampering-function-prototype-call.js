// class: tampering
// expect: 200
Function.prototype.call = Function.prototype.apply = Function.prototype.bind = null; Spark.setScriptData("a", Spark.getData());
