// class: errors
// expect: 500
throw Symbol("x");
