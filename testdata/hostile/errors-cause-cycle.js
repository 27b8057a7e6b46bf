// class: errors
// expect: 500
var e = new Error("x"); e.cause = e; throw e;
