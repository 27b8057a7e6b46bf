// class: web
// expect: 504
setTimeout(function () { for (;;) {} }, 1);
