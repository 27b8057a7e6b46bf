// class: parser
// expect: 200
// repeat: 100000 "if(1)"
// repeat: 1 ";"
