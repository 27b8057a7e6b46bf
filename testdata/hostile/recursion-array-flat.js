// class: recursion
// expect: any
// needs: sandbox
var a = []; a[0] = a; a.flat(Infinity);
