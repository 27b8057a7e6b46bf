// class: recursion
// expect: 500
function f() { return "a".replace(/a/, f) }
f();
