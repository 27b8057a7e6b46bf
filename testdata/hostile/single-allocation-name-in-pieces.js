// class: single-allocation
// expect: 500
""["rep" + "eat"].call("x", 2 ** 40);
