// class: recursion
// expect: 500
function f() { new Function("f", "f()")(f) }
f();
