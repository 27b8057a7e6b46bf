// class: growing-allocation
// expect: 504
for (var m = new Map(), i = 0; ; i++) m.set(i, { i: i });
