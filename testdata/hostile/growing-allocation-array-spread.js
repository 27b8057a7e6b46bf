// class: growing-allocation
// expect: any
for (var a = [1, 2]; ; ) a = [...a, ...a];
