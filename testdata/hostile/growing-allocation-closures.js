// class: growing-allocation
// expect: any
var f = function () {}; for (;;) { (function (g) { f = function () { return g } })(f) }
