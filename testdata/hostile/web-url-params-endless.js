// class: web
// expect: 504
new URLSearchParams({ [Symbol.iterator]() { return { next() { return { value: ["a", "b"] } } } } });
