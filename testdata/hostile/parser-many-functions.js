// class: parser
// expect: any
// repeat: 40000 "function f{i}(){}"
