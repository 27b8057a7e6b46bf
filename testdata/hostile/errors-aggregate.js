// class: errors
// expect: 500
throw new AggregateError([new Error("x"), { toString() { throw 1 } }], "y");
