// class: errors
// expect: 500
throw new Proxy(new Error("x"), { get() { for (;;) {} } });
