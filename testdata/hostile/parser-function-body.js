// class: parser
// expect: 504
// needs: sandbox
new Function("(".repeat(1 << 20));
