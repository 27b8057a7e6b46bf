// class: regex
// expect: 504
// needs: sandbox
/^(a+)+\1$/.test("a".repeat(40) + "b");
