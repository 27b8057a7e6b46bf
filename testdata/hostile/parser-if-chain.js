// class: parser
// expect: any
// repeat: 100000 "if(1)"
// repeat: 1 ";"
