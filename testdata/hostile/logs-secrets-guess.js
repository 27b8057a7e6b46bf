// class: logs
// expect: 200
Spark.getLog().info(Spark.getSessionId() + Spark.getClientIp() + Spark.getCredentialType());
