// class: growing-allocation
// expect: any
for (var l = null; ; ) l = { next: l, s: [1, 2, 3] };
