// class: parser
// expect: 200
// tier: deep
// repeat: 80000 "while(0)"
// repeat: 1 ";"
