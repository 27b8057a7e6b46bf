// class: recursion
// expect: 500
var o = { toString() { return "" + o } };
"" + o;
