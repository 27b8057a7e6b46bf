// class: response
// expect: 200
for (var i = 0; i < 2e5; i++) Spark.setScriptData("k" + i, i);
