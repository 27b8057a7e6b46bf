// class: parser
// expect: 200
new Function("1\n//# sourceMappingURL=/dev/zero")();
