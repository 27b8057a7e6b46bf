// class: web
// expect: 200
try { new URLSearchParams([{ [Symbol.iterator]() { return { next() { return { value: "a" } } } } }]); throw 1 } catch (e) { if (!(e instanceof RangeError)) throw e }
