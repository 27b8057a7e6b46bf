// class: growing-allocation
// expect: any
for (var a = [], i = 0; ; i++) a.push(new RegExp("(a|b)*c" + i));
