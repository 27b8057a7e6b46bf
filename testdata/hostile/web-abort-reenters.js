// class: web
// expect: 200
var c = new AbortController(), n = 0; c.signal.onabort = function () { n++; c.abort() }; c.abort(); if (n !== 1) throw n;
