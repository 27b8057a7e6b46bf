// class: loops
// expect: 504
var t = { then(resolve) { resolve(t) } };
Promise.resolve(t);
