// class: tampering
// expect: 504
Object.setPrototypeOf(Array.prototype, new Proxy({}, { get() { for (;;) {} }, has() { for (;;) {} }, set() { for (;;) {} } })); Spark.setScriptData("a", [, 1]);
