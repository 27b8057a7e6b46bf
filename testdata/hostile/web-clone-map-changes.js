// class: web
// expect: 200
var m = new Map([["a", { get x() { m.clear(); for (var i = 0; i < 1e4; i++) m.set(i, i); return 1 } }], ["b", 2]]); if (structuredClone(m).size !== 2) throw 1;
