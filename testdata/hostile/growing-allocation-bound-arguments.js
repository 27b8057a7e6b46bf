// class: growing-allocation
// expect: 504
for (var f = function () {}, a = new Array(1000).fill(0); ; ) f = f.bind.apply(f, a);
