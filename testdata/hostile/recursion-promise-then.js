// class: recursion
// expect: 504
var p = Promise.resolve(); for (var i = 0; i < 1e6; i++) p = p.then(function (x) { return x });
