// class: regex
// expect: any
// needs: sandbox
/^(a+)+\1$/.test("a".repeat(40) + "b");
