// class: recursion
// expect: 500
// tier: deep
function f() { return "a".replace(/a/, f) }
f();
