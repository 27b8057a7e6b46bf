// class: recursion
// expect: any
// needs: sandbox
var e = new Error(); e.message = e; String(e);
