// class: errors
// expect: 500
Object.defineProperty(Error.prototype, "message", { get() { for (;;) {} } });
null.x;
