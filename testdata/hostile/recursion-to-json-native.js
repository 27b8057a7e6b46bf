// class: recursion
// expect: any
var o = {}; o.toJSON = JSON.stringify.bind(null, o);
JSON.stringify(o);
