// class: escapes
// expect: 200
function f() { return f.caller || arguments.callee.caller }
f();
