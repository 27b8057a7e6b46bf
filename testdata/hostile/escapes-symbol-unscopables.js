// class: escapes
// expect: 200
Spark[Symbol.unscopables] = { getData: true }; with (Spark) { getData() }
