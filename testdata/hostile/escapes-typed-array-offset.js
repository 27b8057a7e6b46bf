// class: escapes
// expect: 500
new Uint32Array(new ArrayBuffer(8), 4, 2 ** 30)[2 ** 29] = 1;
