// class: recursion
// expect: 500
var o = {}; Object.defineProperty(o, "x", { get: Reflect.get.bind(null, o, "x") });
o.x;
