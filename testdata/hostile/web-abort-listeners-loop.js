// class: web
// expect: 504
var c = new AbortController(); c.signal.onabort = function () { for (;;) {} }; c.abort();
