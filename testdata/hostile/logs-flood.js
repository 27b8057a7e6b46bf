// class: logs
// expect: 504
for (;;) Spark.getLog().info("x");
