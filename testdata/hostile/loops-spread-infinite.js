// class: loops
// expect: 504
function* g() { for (;;) yield }
Math.max.apply(null, [...(function* () { for (;;) yield* [] })()]);
