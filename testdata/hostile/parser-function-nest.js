// class: parser
// expect: any
// repeat: 900 "function f(){"
// repeat: 900 "}"
