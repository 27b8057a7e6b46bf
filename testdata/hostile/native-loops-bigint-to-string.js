// class: native-loops
// expect: 504
// needs: sandbox
var b = 1n; for (var i = 0; i < 27; i++) b = (b << BigInt(1 << i)) | 1n;
b.toString(7);
