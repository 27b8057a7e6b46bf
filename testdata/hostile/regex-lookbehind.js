// class: regex
// expect: any
/(?<=^(a+)+)c/.test("a".repeat(40) + "b");
