// class: recursion
// expect: any
// needs: sandbox
var p = new Proxy({}, {}); Object.setPrototypeOf(p, p);
p.x;
