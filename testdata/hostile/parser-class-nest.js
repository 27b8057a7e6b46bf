// class: parser
// expect: 500
// repeat: 900 "(class extends "
// repeat: 1 "Object{}"
// repeat: 900 "{})"
