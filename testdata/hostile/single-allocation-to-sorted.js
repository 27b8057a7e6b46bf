// class: single-allocation
// expect: 500
Array.prototype.toSorted.call({ length: 4294967294 });
