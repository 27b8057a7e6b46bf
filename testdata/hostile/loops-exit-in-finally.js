// class: loops
// expect: 200
// Spark.exit cannot be seen, nor held up, by finally.
try { Spark.exit() } finally { while (true) {} }
