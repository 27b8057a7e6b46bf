// class: parser
// expect: 200
// repeat: 40000 "function f{i}(){}"
