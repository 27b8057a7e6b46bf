// class: parser
// expect: 500
// repeat: 1 "-"
// repeat: 200000 "- "
// repeat: 1 "1"
