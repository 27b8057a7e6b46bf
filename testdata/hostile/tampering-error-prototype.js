// class: tampering
// expect: 500
Object.setPrototypeOf(Error.prototype, new Proxy({}, { get() { throw 1 } })); Spark.setScriptData();
