// class: escapes
// expect: 200
(async function () { await 1; Spark.exit(); })(); Spark.setScriptData("a", 1);
