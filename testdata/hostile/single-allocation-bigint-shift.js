// class: single-allocation
// expect: 500
// needs: sandbox
var n = 1n << 40n; 1n << n;
