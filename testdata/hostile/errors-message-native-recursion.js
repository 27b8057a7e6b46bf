// class: errors
// expect: 500
// tier: deep
// needs: sandbox
var e = new Error("x"); e.message = { toString: Error.prototype.toString.bind(e) };
throw e;
