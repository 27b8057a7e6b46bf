// class: recursion
// expect: 500
JSON.parse("[".repeat(1 << 20));
