// class: growing-allocation
// expect: any
for (var a = []; ; ) a.push((function* () { yield a })());
