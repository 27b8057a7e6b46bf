// class: web
// expect: 200
var o = { toString() { return new URL("https://a/" + (depth++ < 100 ? encodeURIComponent(String(o)) : "")).href } }, depth = 0;
try { new URL(o) } catch (e) {}
