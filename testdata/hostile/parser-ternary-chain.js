// class: parser
// expect: any
// repeat: 100000 "1?"
// repeat: 1 "1"
// repeat: 100000 ":1"
