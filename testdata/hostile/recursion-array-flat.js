// class: recursion
// expect: 500
// needs: sandbox
var a = []; a[0] = a; a.flat(Infinity);
