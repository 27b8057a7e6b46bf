// class: native-loops
// expect: any
var o = {}; for (var i = 0; ; i++) { o["k" + i] = i; Object.assign({}, o) }
