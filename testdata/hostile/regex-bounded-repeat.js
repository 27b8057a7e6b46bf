// class: regex
// expect: 200
new RegExp("(?=a)" + "(?:a{0,1000}){0,1000}".repeat(20)).test("a".repeat(1000));
