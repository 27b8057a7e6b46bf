// class: parser
// expect: any
// repeat: 50000 "if(0);else "
// repeat: 1 ";"
