// class: escapes
// expect: 500
var a = [1, 2, 3, 4]; a.with({ valueOf: function () { a.length = 0; return 3 } }, 1);
