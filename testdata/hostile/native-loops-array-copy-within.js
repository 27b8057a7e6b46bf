// class: native-loops
// expect: 500
Array.prototype.copyWithin.call({ length: 9007199254740991 }, 1, 0);
