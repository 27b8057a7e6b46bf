// class: parser
// expect: 200
// tier: deep
// repeat: 40000 "function f{i}(){}"
