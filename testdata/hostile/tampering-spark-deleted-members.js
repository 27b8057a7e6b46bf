// class: tampering
// expect: any
for (var k in Spark) delete Spark[k]; Spark.getData();
