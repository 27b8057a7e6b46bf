// class: errors
// expect: 500
(function f() { Spark.currentStack(); f() })();
