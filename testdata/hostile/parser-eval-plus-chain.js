// class: parser
// expect: 504
// needs: sandbox
eval("1" + "+1".repeat(100000));
