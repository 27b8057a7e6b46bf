// class: escapes
// expect: 200
class A extends Array { static get [Symbol.species]() { return function () { return Spark } } }
new A(1, 2).map(String);
