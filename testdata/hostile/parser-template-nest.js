// class: parser
// expect: any
// repeat: 400 "`${"
// repeat: 1 "1"
// repeat: 400 "}`"
