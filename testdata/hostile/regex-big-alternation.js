// class: regex
// expect: 200
var a = []; for (var i = 0; i < 1e5; i++) a.push("w" + i);
new RegExp(a.join("|")).test("w");
