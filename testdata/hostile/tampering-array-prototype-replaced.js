// class: tampering
// expect: 500
Object.setPrototypeOf(Array.prototype, null); Object.setPrototypeOf(Object.prototype, Array.prototype); Spark.setScriptData("a", [1]);
