// class: web
// expect: 504
var a = [], b = []; for (var i = 0; i < 1e5; i++) a.push({ i: i }); for (;;) b.push(structuredClone(a));
