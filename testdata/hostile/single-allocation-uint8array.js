// class: single-allocation
// expect: 500
new Uint8Array(2 ** 40);
