// class: errors
// expect: any
// needs: sandbox
var e = new Error("x"); e.message = { toString: Error.prototype.toString.bind(e) };
throw e;
