// class: recursion
// expect: 504
var p = {}; for (var i = 0; i < 1e6; i++) p = new Proxy(p, {});
p.x;
