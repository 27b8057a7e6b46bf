// class: web
// expect: 200
var a = []; for (var i = 0; i < 1e4; i++) a = [a]; try { structuredClone(a); throw 1 } catch (e) { if (!(e instanceof RangeError)) throw e }
