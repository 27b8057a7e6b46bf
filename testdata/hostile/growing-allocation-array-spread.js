// class: growing-allocation
// expect: 504
for (var a = [1, 2]; ; ) a = [...a, ...a];
