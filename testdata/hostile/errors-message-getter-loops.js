// class: errors
// expect: 500
var e = new Error("x"); Object.defineProperty(e, "message", { get() { for (;;) {} } });
throw e;
