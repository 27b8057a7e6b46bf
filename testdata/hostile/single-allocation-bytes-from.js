// class: single-allocation
// expect: 500
Uint8Array.from({ length: 2 ** 40 });
