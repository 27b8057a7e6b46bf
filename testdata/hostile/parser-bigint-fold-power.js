// class: parser
// expect: any
// needs: sandbox
var x = 2n ** (2n ** 40n);
