// class: web
// expect: 500
var o = { get a() { return structuredClone([[[[o]]]]) } }; try { structuredClone(o) } catch (e) {}
