// class: parser
// expect: 200
// repeat: 80000 "'{i}';"
