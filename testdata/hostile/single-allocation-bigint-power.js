// class: single-allocation
// expect: 500
// tier: deep
// needs: sandbox
var n = 2n ** 36n; 2n ** n;
