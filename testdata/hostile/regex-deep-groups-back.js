// class: regex
// expect: 504
// needs: sandbox
new RegExp("(?=" .repeat(50000) + "a" + ")".repeat(50000)).test("a");
