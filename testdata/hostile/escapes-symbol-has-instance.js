// class: escapes
// expect: 500
Object.defineProperty(Function.prototype, Symbol.hasInstance, { value: function () { for (;;) {} } }); [] instanceof Array;
