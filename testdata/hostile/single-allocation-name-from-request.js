// class: single-allocation
// expect: 500
// needs: sandbox
// The name comes from elsewhere: here from the properties themselves.
for (var k = 0, f; k < 60; k++) { f = "x".at ? ["peater".slice(0, 0)] : 0 }
var name = ["re", "peat"].join(""); ""[name].call("x", 2 ** 40);
