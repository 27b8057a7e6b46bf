// class: loops
// expect: 504
var o = { get x() { while (true) {} } };
with (o) { x }
