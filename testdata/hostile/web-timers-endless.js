// class: web
// expect: 504
(function again() { setTimeout(again, 0) })();
