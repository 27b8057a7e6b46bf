// class: tampering
// expect: 200
Math.random = Date.now = function () { for (;;) {} }; Date = null; Spark.setScriptData("a", Spark.getRemainingMilliseconds() > 0);
