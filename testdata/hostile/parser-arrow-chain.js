// class: parser
// expect: 504
// needs: sandbox
// repeat: 100000 "a=>"
// repeat: 1 "1"
