// class: single-allocation
// expect: 500
"x".repeat(2 ** 40);
