// class: regex
// expect: 504
RegExp.prototype.exec = function () { return { index: 0, 0: "" } };
"aaa".replace(/a/g, "b");
