// class: errors
// expect: 500
var e = new Error("x"); Object.defineProperty(e, "name", { get() { for (;;) {} } });
throw e;
