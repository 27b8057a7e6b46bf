// class: parser
// expect: 200
// repeat: 80000 "while(0)"
// repeat: 1 ";"
