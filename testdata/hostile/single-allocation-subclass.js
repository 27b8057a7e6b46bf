// class: single-allocation
// expect: 500
class B extends ArrayBuffer {}
new B(2 ** 40);
