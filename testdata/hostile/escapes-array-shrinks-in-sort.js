// class: escapes
// expect: 500
var a = []; for (var i = 0; i < 1000; i++) a[i] = i; a.sort(function () { a.length = 0; return -1 });
