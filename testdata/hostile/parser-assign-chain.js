// class: parser
// expect: 200
// tier: deep
// repeat: 100000 "a="
// repeat: 1 "1"
