// class: recursion
// expect: 500
// tier: deep
// needs: sandbox
var o = {}; o.valueOf = Date.UTC.bind(null, o); Date.UTC(o);
