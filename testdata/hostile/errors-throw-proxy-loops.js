// class: errors
// expect: 500|504
throw new Proxy(new Error("x"), { get() { for (;;) {} } });
