// class: logs
// expect: 504
for (var i = 0; i < 1e4; i++) Spark.getLog().info("x".repeat(1 << 16));
