// class: native-loops
// expect: 500
Array.prototype.reverse.call({ length: 9007199254740991 });
