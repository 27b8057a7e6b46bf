// class: parser
// expect: 200
// repeat: 1 "let "
// repeat: 59999 "v{i}=1,"
// repeat: 1 "vx=1"
// repeat: 1 ";"
