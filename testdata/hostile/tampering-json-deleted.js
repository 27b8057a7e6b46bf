// class: tampering
// expect: 200
delete globalThis.JSON; Spark.setScriptData("a", { b: 1 });
