// class: loops
// expect: 504
// A generator that will not be closed.
function* g() { while (true) { try { yield 1 } finally { continue } } }
for (var x of g()) { break }
while (true) {}
