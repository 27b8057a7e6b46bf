// class: parser
// expect: any
// repeat: 1 "var s='\xff\xfe'"
