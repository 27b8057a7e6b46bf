// class: parser
// expect: 500
<!-- x
while (0) {}
--> y
