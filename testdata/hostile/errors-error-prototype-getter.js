// class: errors
// expect: 500|504
Object.defineProperty(Error.prototype, "message", { get() { for (;;) {} } });
null.x;
