// class: tampering
// expect: 200
undefined = 1; NaN = 2; Infinity = 3; Spark.setScriptData("a", undefined);
