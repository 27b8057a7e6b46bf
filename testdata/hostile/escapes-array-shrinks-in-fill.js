// class: escapes
// expect: 200
var a = [1, 2, 3, 4]; a.fill(1, { valueOf: function () { a.length = 0; return 0 } });
