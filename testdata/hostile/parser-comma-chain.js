// class: parser
// expect: 200
// repeat: 1 "1"
// repeat: 100000 ",1"
