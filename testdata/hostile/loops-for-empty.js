// class: loops
// expect: 504
for (;;);
