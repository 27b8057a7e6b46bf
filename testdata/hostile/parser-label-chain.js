// class: parser
// expect: 504
// needs: sandbox
// repeat: 50000 "l{i}:"
// repeat: 1 ";"
