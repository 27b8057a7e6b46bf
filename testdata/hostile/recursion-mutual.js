// class: recursion
// expect: 500
function a() { b() }
function b() { a() }
a();
