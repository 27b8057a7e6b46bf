// class: growing-allocation
// expect: 504
for (var o = {}, i = 0; ; i++) o["key" + i] = i;
