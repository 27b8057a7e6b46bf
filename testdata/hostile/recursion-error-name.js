// class: recursion
// expect: any
// needs: sandbox
var e = new Error("x"); e.name = { toString: Error.prototype.toString.bind(e) }; String(e);
