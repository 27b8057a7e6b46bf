// class: escapes
// expect: 500
var r = /a/g; r.compile && r.compile("(", "g"); "a".replace(r, function () { r.lastIndex = 2 ** 53; return "" });
