// class: parser
// expect: any
eval("!".repeat(1 << 20) + "1");
