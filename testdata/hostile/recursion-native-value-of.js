// class: recursion
// expect: any
// needs: sandbox
var o = {}; o.valueOf = Math.abs.bind(null, o);
+o;
