// class: recursion
// expect: 500
// tier: deep
// needs: sandbox
var o = { toString: String.prototype.trim };
"" + o;
