// class: errors
// expect: 500
var a = []; a[0] = a; throw a;
