// class: errors
// expect: 500
var e = new Error("x"); Object.setPrototypeOf(e, null); throw e;
