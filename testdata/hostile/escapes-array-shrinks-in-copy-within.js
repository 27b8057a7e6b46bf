// class: escapes
// expect: 200
var a = [1, 2, 3, 4, 5]; a.copyWithin(0, { valueOf: function () { a.length = 1; return 2 } });
