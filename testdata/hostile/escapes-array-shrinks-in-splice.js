// class: escapes
// expect: 200
var a = [1, 2, 3, 4]; a.splice(0, { valueOf: function () { a.length = 0; return 4 } });
