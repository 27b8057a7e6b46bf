// class: parser
// expect: any
// needs: sandbox
// repeat: 100000 "a=>"
// repeat: 1 "1"
