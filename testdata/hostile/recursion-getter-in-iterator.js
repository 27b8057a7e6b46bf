// class: recursion
// expect: 500
var it = { [Symbol.iterator]() { return [...it] } };
[...it];
