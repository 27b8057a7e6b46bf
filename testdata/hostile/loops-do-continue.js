// class: loops
// expect: 504
do { continue } while (1);
