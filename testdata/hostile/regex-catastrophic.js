// class: regex
// expect: any
/^(a+)+$/.test("a".repeat(40) + "b");
