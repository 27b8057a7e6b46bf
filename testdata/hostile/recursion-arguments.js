// class: recursion
// expect: 500
(function f() { f(1, 2, 3, [].slice.call(arguments)) })();
