// class: escapes
// expect: 200
// tier: deep
for (var i = 0; i < 1e5; i++) { new WeakMap([[{}, i]]); if (typeof WeakRef !== "undefined") new WeakRef({}) }
