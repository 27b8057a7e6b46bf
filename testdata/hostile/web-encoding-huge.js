// class: web
// expect: 200
var d = new TextDecoder("gb18030"), b = new Uint8Array(1 << 22).fill(0x81); for (var i = 0; i < 4; i++) d.decode(b);
