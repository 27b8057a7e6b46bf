// class: recursion
// expect: 504
// needs: sandbox
var o = {}; Object.defineProperty(o, Symbol.toStringTag, { get: Object.prototype.toString.bind(o) }); "" + o;
