// class: parser
// expect: any
// repeat: 900 "(class extends "
// repeat: 1 "Object{}"
// repeat: 900 "{})"
