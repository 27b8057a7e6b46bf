// class: escapes
// expect: any
Object.defineProperty(Function.prototype, Symbol.hasInstance, { value: function () { for (;;) {} } }); [] instanceof Array;
