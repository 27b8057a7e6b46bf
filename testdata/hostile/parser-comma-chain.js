// class: parser
// expect: any
// repeat: 1 "1"
// repeat: 100000 ",1"
