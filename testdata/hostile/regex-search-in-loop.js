// class: regex
// expect: 504
for (;;) "x".repeat(1000).search(/y/);
