// class: web
// expect: 504
(function again() { queueMicrotask(again) })();
