// class: recursion
// expect: 200
var f = Function.prototype.call; var o = {}; Object.defineProperty(o, "x", { get: f.bind(f, f, f) });
Object.defineProperty(o, "y", { get: o.__lookupGetter__.bind(o, "y") }); o.y;
