// class: native-loops
// expect: 504
for (;;) new Float64Array(1 << 20).sort(function () { return 1 });
