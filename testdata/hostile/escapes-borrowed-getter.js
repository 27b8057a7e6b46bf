// class: escapes
// expect: 500
var d = Object.getOwnPropertyDescriptor(Object.prototype, "__proto__"); d.set.call(Spark, null); d.set.call(this, null); Spark.getData();
