// class: single-allocation
// expect: 500
new Function("return 'x'." + "rep" + "eat(2**40)")();
