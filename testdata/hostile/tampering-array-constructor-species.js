// class: tampering
// expect: any
Array.prototype.constructor = { get [Symbol.species]() { for (;;) {} } }; [1].map(String);
