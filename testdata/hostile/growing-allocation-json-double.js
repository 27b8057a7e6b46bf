// class: growing-allocation
// expect: 500
// tier: deep
var s = "[1]"; for (;;) s = JSON.stringify([s, s]);
