// class: parser
// expect: any
<!-- x
while (0) {}
--> y
