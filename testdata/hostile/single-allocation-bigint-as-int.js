// class: single-allocation
// expect: any
BigInt.asUintN(2 ** 53 - 1, -1n);
