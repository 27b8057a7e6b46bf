// class: recursion
// expect: 500
// tier: deep
// needs: sandbox
function* g() { yield* g() }
for (var x of g()) {}
