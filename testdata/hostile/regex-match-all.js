// class: regex
// expect: 200
[...("a".repeat(45) + "!").matchAll(/(a|a)*(?=b)/g)];
