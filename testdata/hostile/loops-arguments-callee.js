// class: loops
// expect: 504
for (;;) (function () { return arguments.callee })();
