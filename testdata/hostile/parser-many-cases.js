// class: parser
// expect: 200
// repeat: 1 "switch(1){"
// repeat: 60000 "case 1:"
// repeat: 1 "}"
