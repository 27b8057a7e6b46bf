// class: recursion
// expect: 500
// tier: deep
JSON.parse("[".repeat(500) + "]".repeat(500), function f(k, v) { return JSON.parse("[[1]]", f) });
