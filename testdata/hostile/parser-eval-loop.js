// class: parser
// expect: 504
for (var i = 0; ; i++) eval("var a" + i % 100 + " = " + i);
