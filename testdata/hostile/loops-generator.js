// class: loops
// expect: 504
function* g() { while (true) yield 1 }
for (var x of g()) {}
