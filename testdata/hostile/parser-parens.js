// class: parser
// expect: 500
// repeat: 300000 "("
