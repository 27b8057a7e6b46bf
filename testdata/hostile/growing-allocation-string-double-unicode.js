// class: growing-allocation
// expect: 500
// needs: sandbox
for (var s = "é"; ; ) s = s + s;
