// class: web
// expect: 200
var n = 0, o = { toJSON() { return n++ < 1e4 ? Response.json(o) : 1 } }; try { Response.json(o) } catch (e) {}
