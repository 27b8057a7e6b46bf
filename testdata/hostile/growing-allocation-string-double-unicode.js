// class: growing-allocation
// expect: any
// needs: sandbox
for (var s = "é"; ; ) s = s + s;
