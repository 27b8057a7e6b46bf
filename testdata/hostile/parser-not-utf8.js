// class: parser
// expect: 500
// repeat: 1 "var s='\xff\xfe'"
