// class: growing-allocation
// expect: 504
for (var a = []; ; ) a.push({});
