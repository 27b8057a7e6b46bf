// class: recursion
// expect: 500
(function f() { f() })();
