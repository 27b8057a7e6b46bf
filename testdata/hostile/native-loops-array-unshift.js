// class: native-loops
// expect: 500
Array.prototype.unshift.call({ length: 4294967295 }, 1);
