// class: parser
// expect: 200
// tier: deep
// repeat: 1 "/"
// repeat: 100000 "(a|b)*"
// repeat: 1 "/"
