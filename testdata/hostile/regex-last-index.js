// class: regex
// expect: 200
var r = /^(?:(a+)+)\1$/y; r.lastIndex = 1; r.exec("ba" + "a".repeat(40) + "b");
