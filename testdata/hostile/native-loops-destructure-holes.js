// class: native-loops
// expect: 504
// needs: sandbox
var [...a] = new Array(4294967295);
