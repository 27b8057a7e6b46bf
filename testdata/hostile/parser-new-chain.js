// class: parser
// expect: any
// repeat: 100000 "new "
// repeat: 1 "a"
