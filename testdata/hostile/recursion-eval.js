// class: recursion
// expect: 500
function f() { eval("f()") }
f();
