// class: growing-allocation
// expect: any
// needs: sandbox
for (var s = "x"; ; ) s += s;
