// class: parser
// expect: 200
// sandbox: 500
// tier: deep
eval("!".repeat(1 << 20) + "1");
