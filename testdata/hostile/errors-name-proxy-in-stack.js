// class: errors
// expect: 500
Object.defineProperty(f, "name", { get() { throw 1 } });
function f() { throw new Error("x") }
f();
