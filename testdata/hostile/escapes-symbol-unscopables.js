// class: escapes
// expect: any
Spark[Symbol.unscopables] = { getData: true }; with (Spark) { getData() }
