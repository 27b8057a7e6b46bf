// class: parser
// expect: any
// repeat: 80000 "while(0)"
// repeat: 1 ";"
