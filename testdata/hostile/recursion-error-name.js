// class: recursion
// expect: 500
// tier: deep
// needs: sandbox
var e = new Error("x"); e.name = { toString: Error.prototype.toString.bind(e) }; String(e);
