// class: native-loops
// expect: 500
Array.prototype.splice.call({ length: 4294967295 }, 1, 1);
