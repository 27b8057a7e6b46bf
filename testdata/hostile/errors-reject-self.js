// class: errors
// expect: 500
var o = { get message() { throw o }, toString() { throw o } };
Promise.reject(o);
