// class: native-loops
// expect: 500
Array.prototype.includes.call({ length: 9007199254740991 }, 1);
