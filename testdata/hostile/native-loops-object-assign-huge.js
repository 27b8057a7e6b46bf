// class: native-loops
// expect: 504
var o = {}; for (var i = 0; ; i++) { o["k" + i] = i; Object.assign({}, o) }
