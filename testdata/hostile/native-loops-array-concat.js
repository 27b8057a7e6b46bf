// class: native-loops
// expect: 500
[].concat(new Array(4294967295));
