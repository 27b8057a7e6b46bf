// class: recursion
// expect: 500
var o = { toJSON() { return JSON.stringify(o) } };
JSON.stringify(o);
