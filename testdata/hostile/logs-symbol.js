// class: logs
// expect: 200
Spark.getLog().info(Symbol("x")); Spark.getLog().info(1n); Spark.getLog().info(undefined); Spark.getLog().info(null); Spark.getLog().info();
