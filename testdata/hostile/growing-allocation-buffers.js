// class: growing-allocation
// expect: any
for (var a = []; ; ) a.push(new Uint8Array(1 << 20));
