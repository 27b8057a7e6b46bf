// class: recursion
// expect: 500
var o = { get x() { return this.x } };
o.x;
