// class: parser
// expect: any
// needs: sandbox
// repeat: 1 "1"
// repeat: 100000 "&&1"
