// class: recursion
// expect: 500
function f() { [1, 2].sort(f) }
f();
