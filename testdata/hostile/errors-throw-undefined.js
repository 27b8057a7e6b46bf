// class: errors
// expect: 500
throw undefined;
