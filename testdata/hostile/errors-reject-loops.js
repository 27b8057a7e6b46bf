// class: errors
// expect: 500|504
Promise.reject(new Proxy({}, { get() { for (;;) {} } }));
