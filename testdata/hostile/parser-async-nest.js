// class: parser
// expect: any
// repeat: 50000 "async()=>await "
// repeat: 1 "1"
