// class: web
// expect: 200
var s = "https://a/" + "b".repeat(16e6); var n = 0;
for (var i = 0; i < 20; i++) try { new URL(s) } catch (e) { n++ }
if (n !== 20) throw n;
