// class: single-allocation
// expect: any
// needs: sandbox
var n = 1n << 40n; 1n << n;
