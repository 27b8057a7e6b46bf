// class: web
// expect: 504
var p = new URLSearchParams("a=1"); for (var [n] of p) p.append("a", "1");
