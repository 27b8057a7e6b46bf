// class: escapes
// expect: any
function f() { return f.caller || arguments.callee.caller }
f();
