// class: growing-allocation
// expect: any
var s = "[1]"; for (;;) s = JSON.stringify([s, s]);
