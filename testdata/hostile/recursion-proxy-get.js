// class: recursion
// expect: 500
var p = new Proxy({}, { get: function (t, k) { return p[k] } });
p.x;
