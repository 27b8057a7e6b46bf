// class: growing-allocation
// expect: any
for (var m = new Map(), i = 0; ; i++) m.set(i, { i: i });
