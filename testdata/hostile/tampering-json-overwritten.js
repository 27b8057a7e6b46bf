// class: tampering
// expect: 200
JSON = { parse: function () { for (;;) {} }, stringify: function () { for (;;) {} } };
Spark.setScriptData("a", { b: [1] }); Spark.getScriptData("a");
