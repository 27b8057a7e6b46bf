// class: logs
// expect: 500
Spark.getLog().setLevel({ toString() { for (;;) {} } });
