// class: errors
// expect: 500
var e = new Error("x"); e.message = { toString() { throw e } };
throw e;
