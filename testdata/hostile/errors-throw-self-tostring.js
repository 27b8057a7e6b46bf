// class: errors
// expect: 500
var o = { toString() { throw o } };
throw o;
