// class: recursion
// expect: 500
// tier: deep
// needs: sandbox
var p = new Proxy({}, {}); Object.setPrototypeOf(p, p);
p.x;
