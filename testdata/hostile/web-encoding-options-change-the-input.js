// class: web
// expect: 200
var b = new Uint8Array([97, 98]), t = new TextDecoder().decode(b, { get stream() { b.fill(99); return false } });
if (t !== "cc") throw t;
