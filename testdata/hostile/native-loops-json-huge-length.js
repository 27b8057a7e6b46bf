// class: native-loops
// expect: any
var a = []; a.length = 4294967295;
JSON.stringify(a);
