// class: single-allocation
// expect: 200
new RegExp("(?:(?:a{1000}){1000}){1000}").test("a");
