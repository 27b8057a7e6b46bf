// class: recursion
// expect: 500
// tier: deep
// needs: sandbox
var a = []; a[0] = a; a.flat(Infinity);
