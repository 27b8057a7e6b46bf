// class: tampering
// expect: 504
Object.defineProperty(Promise, Symbol.species, { get: function () { for (;;) {} } }); Promise.resolve(1).then(String);
