// class: parser
// expect: 504
// needs: sandbox
// repeat: 1 "1"
// repeat: 100000 "&&1"
