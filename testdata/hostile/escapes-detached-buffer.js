// class: escapes
// expect: 200
var b = new ArrayBuffer(8), v = new Uint8Array(b); v.sort(function () { try { b.transfer(0) } catch (e) {} return 1 }); v[0];
