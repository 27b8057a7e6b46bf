// class: web
// expect: 504
var b = new Uint8Array(65536); for (;;) crypto.getRandomValues(b);
