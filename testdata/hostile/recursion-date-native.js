// class: recursion
// expect: any
// needs: sandbox
var o = {}; o.valueOf = Date.UTC.bind(null, o); Date.UTC(o);
