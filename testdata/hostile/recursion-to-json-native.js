// class: recursion
// expect: 500
var o = {}; o.toJSON = JSON.stringify.bind(null, o);
JSON.stringify(o);
