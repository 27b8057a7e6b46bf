// class: single-allocation
// expect: 500
eval("'x'." + "rep" + "eat(2**40)");
