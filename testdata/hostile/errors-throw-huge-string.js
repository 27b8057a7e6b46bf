// class: errors
// expect: 500
throw "x".repeat(1 << 24);
