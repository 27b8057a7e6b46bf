// class: parser
// expect: any
// repeat: 1 "-"
// repeat: 200000 "- "
// repeat: 1 "1"
