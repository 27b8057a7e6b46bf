// class: parser
// expect: any
// repeat: 100000 "typeof "
// repeat: 1 "1"
