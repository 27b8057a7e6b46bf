// class: tampering
// expect: 504
Array.prototype.constructor = { get [Symbol.species]() { for (;;) {} } }; [1].map(String);
