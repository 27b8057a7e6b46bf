// class: growing-allocation
// expect: 504
for (var a = [1]; ; ) a = a.concat(a);
