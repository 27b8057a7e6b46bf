// class: tampering
// expect: any
Object.setPrototypeOf(Array.prototype, new Proxy({}, { get() { for (;;) {} }, has() { for (;;) {} }, set() { for (;;) {} } })); Spark.setScriptData("a", [, 1]);
