// class: parser
// expect: 200
// tier: deep
// repeat: 100000 "if(1)"
// repeat: 1 ";"
