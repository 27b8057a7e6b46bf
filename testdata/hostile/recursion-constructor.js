// class: recursion
// expect: 500
class A { constructor() { new A() } }
new A();
