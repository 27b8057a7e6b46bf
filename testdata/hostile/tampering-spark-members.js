// class: tampering
// expect: 500
Spark.setScriptData = Spark.getData = Spark.getLog = function () { throw new Error("x") }; Spark.getData();
