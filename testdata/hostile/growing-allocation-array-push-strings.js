// class: growing-allocation
// expect: 504
for (var a = [], i = 0; ; i++) a.push("some text " + i);
