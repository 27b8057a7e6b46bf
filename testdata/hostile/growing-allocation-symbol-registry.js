// class: growing-allocation
// expect: 504
for (var i = 0; ; i++) Symbol.for("s" + i);
