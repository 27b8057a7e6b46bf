// class: regex
// expect: 504
// needs: sandbox
/^(?=(a+)+$)(a|b)+/.test("a".repeat(40) + "b");
