// class: growing-allocation
// expect: 500
for (var a = []; ; ) a.push(new Uint8Array(1 << 20));
