// class: native-loops
// expect: 500
Array.prototype.map.call({ length: 4294967295 }, String);
