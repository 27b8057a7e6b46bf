// class: errors
// expect: 500|504
var e = new Error("x"); Object.defineProperty(e, "message", { get() { for (;;) {} } });
throw e;
