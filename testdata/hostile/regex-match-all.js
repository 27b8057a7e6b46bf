// class: regex
// expect: any
[...("a".repeat(45) + "!").matchAll(/(a|a)*(?=b)/g)];
