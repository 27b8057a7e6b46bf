// class: native-loops
// expect: any
for (;;) new Float64Array(1 << 20).sort(function () { return 1 });
