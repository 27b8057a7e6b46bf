// class: errors
// expect: 500
var o = {}; for (var i = 0; i < 1e5; i++) o = { o: o };
throw o;
