// class: parser
// expect: 200
var s = 1;
//# sourceMappingURL=data:application/json;base64,e30=
