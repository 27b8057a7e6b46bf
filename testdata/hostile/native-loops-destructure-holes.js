// class: native-loops
// expect: any
// needs: sandbox
var [...a] = new Array(4294967295);
