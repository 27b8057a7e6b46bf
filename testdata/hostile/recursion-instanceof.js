// class: recursion
// expect: 500
var o = function () {}; Object.defineProperty(o, Symbol.hasInstance, { value: function (v) { return v instanceof o } });
1 instanceof o;
