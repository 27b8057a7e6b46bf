// class: parser
// expect: any
// needs: sandbox
eval("1" + "+1".repeat(100000));
