// class: escapes
// expect: 200
var a = [1, 2, 3, 4]; a.toSpliced(0, { valueOf: function () { a.length = 0; return 2 } }, 1, 2, 3);
