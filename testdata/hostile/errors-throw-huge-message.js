// class: errors
// expect: 500
throw new Error("x".repeat(1 << 24));
