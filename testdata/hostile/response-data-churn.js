// class: response
// expect: 504
for (var i = 0; ; i++) { Spark.setScriptData("k" + i % 1000, i); Spark.removeScriptData("k" + i * 7 % 1000) }
