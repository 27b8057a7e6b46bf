// class: parser
// expect: 200
// repeat: 100000 "typeof "
// repeat: 1 "1"
