// class: recursion
// expect: any
// needs: sandbox
function* g() { yield* g() }
for (var x of g()) {}
