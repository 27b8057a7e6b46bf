// class: parser
// expect: 500
// repeat: 1 "// "
// repeat: 1100000 "x"
