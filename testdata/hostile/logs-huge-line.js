// class: logs
// expect: any
Spark.getLog().info("x".repeat(1 << 24));
