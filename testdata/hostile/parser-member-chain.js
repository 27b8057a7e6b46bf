// class: parser
// expect: 500
// repeat: 1 "a"
// repeat: 200000 ".a"
