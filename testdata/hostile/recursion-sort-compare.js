// class: recursion
// expect: 500|504
function f() { [1, 2].sort(f) }
f();
