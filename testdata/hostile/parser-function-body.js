// class: parser
// expect: any
// needs: sandbox
new Function("(".repeat(1 << 20));
