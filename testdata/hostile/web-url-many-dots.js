// class: web
// expect: 200
new URL("https://a/" + "a/../".repeat(1e5) + ".".repeat(1e5));
