// class: native-loops
// expect: 500
var a = []; a[4294967294] = 1; a.sort();
