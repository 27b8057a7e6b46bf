// class: single-allocation
// expect: 500
"x".rep\u0065at(2 ** 40);
