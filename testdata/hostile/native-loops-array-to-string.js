// class: native-loops
// expect: 500
"" + new Array(4294967295);
