// class: errors
// expect: 500
throw new Error("\ud800");
