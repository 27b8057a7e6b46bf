// class: native-loops
// expect: 500
Array.prototype.lastIndexOf.call({ length: 9007199254740991 }, 1);
