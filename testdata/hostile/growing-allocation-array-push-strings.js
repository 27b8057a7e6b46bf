// class: growing-allocation
// expect: any
for (var a = [], i = 0; ; i++) a.push("some text " + i);
