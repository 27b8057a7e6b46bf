// class: errors
// expect: 500
Error.prepareStackTrace = function () { for (;;) {} }; throw new Error("x");
