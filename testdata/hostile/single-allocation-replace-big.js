// class: single-allocation
// expect: 504
// needs: sandbox
"x".repeat(1 << 16).replaceAll("x", "y".repeat(1 << 20));
