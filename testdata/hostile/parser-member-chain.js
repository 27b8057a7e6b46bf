// class: parser
// expect: any
// repeat: 1 "a"
// repeat: 200000 ".a"
