// class: escapes
// expect: 200
var p = Object.getPrototypeOf(Spark); while (p) { Object.getOwnPropertyNames(p).forEach(function (n) { try { p[n] } catch (e) {} }); p = Object.getPrototypeOf(p) }
