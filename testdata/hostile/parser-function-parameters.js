// class: parser
// expect: 200
new Function(new Array(100000).fill("a").join(","), "");
