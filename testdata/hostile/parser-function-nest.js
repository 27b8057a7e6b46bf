// class: parser
// expect: 200
// repeat: 900 "function f(){"
// repeat: 900 "}"
