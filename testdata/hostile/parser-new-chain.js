// class: parser
// expect: 500
// repeat: 100000 "new "
// repeat: 1 "a"
