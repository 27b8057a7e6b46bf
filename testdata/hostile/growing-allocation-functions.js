// class: growing-allocation
// expect: any
for (var a = [], i = 0; ; i++) a.push(new Function("return " + i));
