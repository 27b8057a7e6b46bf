// class: parser
// expect: any
// repeat: 80000 "'{i}';"
