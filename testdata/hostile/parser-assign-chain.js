// class: parser
// expect: any
// repeat: 100000 "a="
// repeat: 1 "1"
