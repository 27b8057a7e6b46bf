// class: parser
// expect: any
// needs: sandbox
// repeat: 1 "1"
// repeat: 60000 "+1"
