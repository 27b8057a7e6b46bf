// class: single-allocation
// expect: 500
// tier: deep
// needs: sandbox
var s = "x".repeat(1 << 24), a = []; for (var i = 0; i < 4096; i++) a.push(s);
a.join("");
