// class: growing-allocation
// expect: 504
for (var i = 0; ; i++) Spark.setScriptData("k" + i, "x".repeat(1 << 16));
