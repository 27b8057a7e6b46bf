// class: parser
// expect: 200
// repeat: 50000 "if(0);else "
// repeat: 1 ";"
