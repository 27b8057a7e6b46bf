// class: parser
// expect: 500
// repeat: 1 "var "
// repeat: 100000 "["
// repeat: 1 "a"
// repeat: 100000 "]"
// repeat: 1 "=[]"
