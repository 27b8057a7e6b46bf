// class: growing-allocation
// expect: any
for (var o = {}, i = 0; ; i++) o["key" + i] = i;
