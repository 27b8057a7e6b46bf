// class: growing-allocation
// expect: any
for (var i = 0; ; i++) Symbol.for("s" + i);
