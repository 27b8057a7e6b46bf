// class: errors
// expect: 500
var o = { toJSON() { return { toJSON: o.toJSON } } };
throw o;
