// class: logs
// expect: 200
Spark.getLog().info = 1; delete Spark.getLog().warn; Spark.getLog().__proto__ = null; Spark.getLog().error("x");
