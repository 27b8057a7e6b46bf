// class: parser
// expect: 500
// tier: deep
// repeat: 1 "a"
// repeat: 200000 ".a"
