// class: growing-allocation
// expect: 504
for (var s = new Set(); ; ) s.add(Symbol("x"));
