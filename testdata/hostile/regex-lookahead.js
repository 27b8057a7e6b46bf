// class: regex
// expect: any
// needs: sandbox
/^(?=(a+)+$)(a|b)+/.test("a".repeat(40) + "b");
