// class: native-loops
// expect: 504
var o = {}; for (var i = 0; i < 60; i++) o = { a: o, b: o };
JSON.stringify(o);
