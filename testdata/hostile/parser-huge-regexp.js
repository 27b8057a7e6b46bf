// class: parser
// expect: any
// repeat: 1 "/"
// repeat: 100000 "(a|b)*"
// repeat: 1 "/"
