// class: web
// expect: 200
var h = new Headers(), n = 0; try { for (;;) { h.append("a" + n, "b"); n++ } } catch (e) { if (!(e instanceof RangeError)) throw e }
