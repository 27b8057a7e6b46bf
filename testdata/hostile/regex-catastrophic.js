// class: regex
// expect: 200
/^(a+)+$/.test("a".repeat(40) + "b");
