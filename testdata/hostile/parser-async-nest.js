// class: parser
// expect: 500
// repeat: 50000 "async()=>await "
// repeat: 1 "1"
