// class: native-loops
// expect: 504
var a = []; for (var i = 0; i < 1e5; i++) a.push(i);
for (;;) a.sort(function () { return 1 });
