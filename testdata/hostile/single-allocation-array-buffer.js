// class: single-allocation
// expect: 500
new ArrayBuffer(2 ** 40);
