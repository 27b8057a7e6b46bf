// class: parser
// expect: 200
// tier: deep
new Function(new Array(100000).fill("a").join(","), "");
