// class: tampering
// expect: any
Object.prototype.__proto__ = null; Object.prototype.get = Object.prototype.value = function () { for (;;) {} }; Object.defineProperty({}, "x", { writable: true });
