// class: parser
// expect: 200
// repeat: 400 "`${"
// repeat: 1 "1"
// repeat: 400 "}`"
