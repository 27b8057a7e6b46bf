// class: loops
// expect: 504
while (true) {}
