// class: web
// expect: 200
new URL("https://" + "@".repeat(1e5) + "a/").href.length;
