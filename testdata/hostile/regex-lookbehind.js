// class: regex
// expect: 200
/(?<=^(a+)+)c/.test("a".repeat(40) + "b");
