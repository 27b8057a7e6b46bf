// class: growing-allocation
// expect: any
for (var f = function () {}, a = new Array(1000).fill(0); ; ) f = f.bind.apply(f, a);
