// class: growing-allocation
// expect: 500
// tier: deep
// needs: sandbox
for (var s = "x"; ; ) s += s;
