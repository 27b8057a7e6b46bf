// class: parser
// expect: 200
// tier: deep
// repeat: 1 "var "
// repeat: 79999 "v{i},"
// repeat: 1 "vx"
// repeat: 1 ";"
