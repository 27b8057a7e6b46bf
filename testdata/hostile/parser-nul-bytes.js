// class: parser
// expect: 500
// repeat: 1 "a\x00b c"
