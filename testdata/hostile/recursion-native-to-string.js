// class: recursion
// expect: any
// needs: sandbox
var o = { toString: String.prototype.trim };
"" + o;
