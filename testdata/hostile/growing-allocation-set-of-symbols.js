// class: growing-allocation
// expect: any
for (var s = new Set(); ; ) s.add(Symbol("x"));
