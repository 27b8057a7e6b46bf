// class: escapes
// expect: 200
var a = [1, 2, 3, 4]; a.indexOf(4, { valueOf: function () { a.length = 0; return 1 } });
