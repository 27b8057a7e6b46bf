// class: single-allocation
// expect: 500
new Float64Array({ length: 2 ** 36 });
