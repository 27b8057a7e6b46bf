// class: parser
// expect: 504
// needs: sandbox
// repeat: 1 "a"
// repeat: 100000 "?.a"
