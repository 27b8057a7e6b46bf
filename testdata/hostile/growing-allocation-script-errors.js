// class: growing-allocation
// expect: any
for (var i = 0; ; i++) Spark.setScriptError("k" + i, "x".repeat(1 << 16));
