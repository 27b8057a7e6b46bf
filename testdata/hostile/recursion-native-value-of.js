// class: recursion
// expect: 500
// tier: deep
// needs: sandbox
var o = {}; o.valueOf = Math.abs.bind(null, o);
+o;
