// class: single-allocation
// expect: 500
(1).toFixed(1e9);
