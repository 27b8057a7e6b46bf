// class: web
// expect: 504
var u = new URL("https://a/"); for (var i = 0; ; i++) u.searchParams.append("n" + i, "v".repeat(100));
