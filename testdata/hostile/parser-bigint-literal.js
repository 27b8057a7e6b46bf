// class: parser
// expect: 504
// repeat: 1 "var b="
// repeat: 900000 "9"
// repeat: 1 "n;"
