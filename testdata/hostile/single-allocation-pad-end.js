// class: single-allocation
// expect: 500
"x".padEnd(4294967295, "abc");
