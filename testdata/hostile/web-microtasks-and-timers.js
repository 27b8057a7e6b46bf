// class: web
// expect: 504
setInterval(function () { (function again() { queueMicrotask(again) })() }, 1);
