// class: tampering
// expect: 500
for (var k in Spark) delete Spark[k]; Spark.getData();
