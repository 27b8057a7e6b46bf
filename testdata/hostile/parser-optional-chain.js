// class: parser
// expect: any
// needs: sandbox
// repeat: 1 "a"
// repeat: 100000 "?.a"
