// class: parser
// expect: 500
// tier: deep
// needs: sandbox
var x = 2n ** (2n ** 40n);
