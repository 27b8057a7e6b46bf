// class: errors
// expect: 500
var e = new Error("x"); Object.defineProperty(e, "stack", { get() { for (;;) {} } });
throw e;
