// class: regex
// expect: any
new RegExp("(?=a)" + "(?:a{0,1000}){0,1000}".repeat(20)).test("a".repeat(1000));
