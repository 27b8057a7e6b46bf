// class: loops
// expect: 504
for (var x of { [Symbol.iterator]() { return { next() { return { done: false } }, return() { for (;;) {} } } } }) { break }
