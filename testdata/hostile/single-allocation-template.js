// class: single-allocation
// expect: 500
// tier: deep
// needs: sandbox
var s = "x".repeat(1 << 24); for (;;) s = `${s}${s}${s}${s}`;
