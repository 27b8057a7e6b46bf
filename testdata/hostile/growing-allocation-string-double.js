// class: growing-allocation
// expect: any
for (var s = "x"; ; ) s += s;
