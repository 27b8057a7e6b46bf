// class: single-allocation
// expect: 200
try { "x".repeat(2 ** 40) } catch (e) { Spark.setScriptData("e", e.name) }
