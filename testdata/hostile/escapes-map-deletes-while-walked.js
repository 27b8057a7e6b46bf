// class: escapes
// expect: 200
var m = new Map([[1, 1], [2, 2]]); m.forEach(function () { m.clear() }); new Set([1, 2]).forEach(function (v, k, s) { s.clear() });
