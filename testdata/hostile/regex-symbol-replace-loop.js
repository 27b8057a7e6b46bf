// class: regex
// expect: 504
var r = /a/g; r.exec = function () { return { 0: "", index: 0, length: 1 } }; r[Symbol.replace]("aaa", "b");
