// class: logs
// expect: any
Spark.getLog().info = 1; delete Spark.getLog().warn; Spark.getLog().__proto__ = null; Spark.getLog().error("x");
