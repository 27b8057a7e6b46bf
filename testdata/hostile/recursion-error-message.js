// class: recursion
// expect: 500
// tier: deep
// needs: sandbox
var e = new Error(); e.message = e; String(e);
