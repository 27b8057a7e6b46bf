// class: parser
// expect: any
// needs: sandbox
// repeat: 50000 "l{i}:"
// repeat: 1 ";"
