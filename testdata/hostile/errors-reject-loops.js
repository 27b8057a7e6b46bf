// class: errors
// expect: 500
Promise.reject(new Proxy({}, { get() { for (;;) {} } }));
