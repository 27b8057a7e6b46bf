// class: recursion
// expect: 500
// needs: sandbox
var o = {}; o.valueOf = Date.UTC.bind(null, o); Date.UTC(o);
