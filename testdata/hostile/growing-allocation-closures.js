// class: growing-allocation
// expect: 504
var f = function () {}; for (;;) { (function (g) { f = function () { return g } })(f) }
