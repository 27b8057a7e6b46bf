// class: parser
// expect: 200
// repeat: 1 "var s='"
// repeat: 900000 "x"
// repeat: 1 "';"
