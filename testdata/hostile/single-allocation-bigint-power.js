// class: single-allocation
// expect: any
// needs: sandbox
var n = 2n ** 36n; 2n ** n;
