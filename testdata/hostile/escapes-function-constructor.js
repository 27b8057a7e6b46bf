// class: escapes
// expect: 500
Function("return require('fs')")().readFileSync("/etc/passwd");
