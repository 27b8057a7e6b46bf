// class: parser
// expect: 200
// tier: deep
// repeat: 300000 "!"
// repeat: 1 "1"
