// class: escapes
// expect: 500
(0, eval)("process").exit(1);
