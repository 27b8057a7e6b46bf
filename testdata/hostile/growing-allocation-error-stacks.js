// class: growing-allocation
// expect: any
for (var a = []; ; ) a.push(new Error("x"));
