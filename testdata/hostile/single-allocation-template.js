// class: single-allocation
// expect: any
// needs: sandbox
var s = "x".repeat(1 << 24); for (;;) s = `${s}${s}${s}${s}`;
