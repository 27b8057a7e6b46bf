// class: growing-allocation
// expect: 504
for (var l = null; ; ) l = { next: l, s: [1, 2, 3] };
