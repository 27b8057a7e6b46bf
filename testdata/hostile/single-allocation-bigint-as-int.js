// class: single-allocation
// expect: 500
BigInt.asUintN(2 ** 53 - 1, -1n);
