// class: loops
// expect: 504
function f() { try { while (1) {} } finally { return f() } }
f();
