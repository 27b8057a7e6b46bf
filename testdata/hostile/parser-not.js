// class: parser
// expect: any
// repeat: 300000 "!"
// repeat: 1 "1"
