// class: web
// expect: 200
var n = 0; try { for (;;) { setTimeout(function () {}, 5); n++ } } catch (e) { if (!(e instanceof RangeError)) throw e }
if (n !== 10000) throw n;
