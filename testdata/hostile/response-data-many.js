// class: response
// expect: 500
for (var i = 0; i < 2e5; i++) Spark.setScriptData("k" + i, i);
