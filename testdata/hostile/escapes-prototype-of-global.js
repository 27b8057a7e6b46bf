// class: escapes
// expect: 504
Object.setPrototypeOf(globalThis, new Proxy({}, { get() { for (;;) {} }, has() { return true } })); Spark;
