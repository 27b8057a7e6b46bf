// class: errors
// expect: 500
throw new Error("a\nlevel=INFO msg=forged\r\n\u0000\u001b[2J");
