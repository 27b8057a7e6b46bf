// class: response
// expect: 200
["__proto__", "constructor", "", "\u0000", "\ud800", "a".repeat(1 << 20)].forEach(function (n) { Spark.setScriptData(n, 1); Spark.setScriptError(n, 1) });
