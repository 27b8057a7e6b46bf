// class: recursion
// expect: 504
// sandbox: 500
var f = function () {}; for (var i = 0; i < 1e6; i++) f = f.bind(null);
f();
