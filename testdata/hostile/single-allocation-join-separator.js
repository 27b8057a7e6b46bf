// class: single-allocation
// expect: 500
new Array(1 << 24).join("x".repeat(1 << 20));
