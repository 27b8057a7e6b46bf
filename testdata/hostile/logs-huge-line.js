// class: logs
// expect: 200
Spark.getLog().info("x".repeat(1 << 24));
