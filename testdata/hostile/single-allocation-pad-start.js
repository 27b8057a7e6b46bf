// class: single-allocation
// expect: 500
"".padStart(2 ** 40);
