// class: parser
// expect: 200
// tier: deep
// repeat: 1 "function*g(){"
// repeat: 80000 "yield "
// repeat: 1 "1}"
