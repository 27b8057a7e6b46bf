// class: growing-allocation
// expect: any
for (var a = [1]; ; ) a = a.concat(a);
