// class: parser
// expect: 200
eval("1\n//# sourceMappingURL=file:///dev/zero");
