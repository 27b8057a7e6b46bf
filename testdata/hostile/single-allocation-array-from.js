// class: single-allocation
// expect: 500
Array.from({ length: 4294967295 });
