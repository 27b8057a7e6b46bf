// class: escapes
// expect: any
Object.setPrototypeOf(globalThis, new Proxy({}, { get() { for (;;) {} }, has() { return true } })); Spark;
