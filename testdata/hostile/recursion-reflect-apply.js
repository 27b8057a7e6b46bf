// class: recursion
// expect: 500
var f = Reflect.apply.bind(null); var a = [];
a.push(f, null, a); Reflect.apply(Reflect.apply, null, a);
