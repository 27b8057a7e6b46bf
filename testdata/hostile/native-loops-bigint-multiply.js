// class: native-loops
// expect: any
var b = 3n; for (;;) b = b * b;
