// class: parser
// expect: any
new Function(new Array(100000).fill("a").join(","), "");
