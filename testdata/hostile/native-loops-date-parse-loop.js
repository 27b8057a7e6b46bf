// class: native-loops
// expect: 504
for (;;) Date.parse("x".repeat(1000));
