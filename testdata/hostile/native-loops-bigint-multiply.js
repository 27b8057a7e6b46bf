// class: native-loops
// expect: 504
var b = 3n; for (;;) b = b * b;
