// class: logs
// expect: 200
Spark.getLog().info("a\nlevel=ERROR msg=forged\r\n\u001b[2J\u2028\u0000");
