// class: web
// expect: 504
var d = new TextDecoder("utf-16le"), b = new Uint8Array(1); for (;;) d.decode(b, { stream: true });
