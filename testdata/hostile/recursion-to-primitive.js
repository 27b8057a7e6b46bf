// class: recursion
// expect: 500
var o = { [Symbol.toPrimitive]() { return +o } };
+o;
