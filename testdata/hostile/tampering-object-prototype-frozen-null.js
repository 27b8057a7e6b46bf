// class: tampering
// expect: 500
Object.prototype.__proto__ = null; Object.prototype.get = Object.prototype.value = function () { for (;;) {} }; Object.defineProperty({}, "x", { writable: true });
