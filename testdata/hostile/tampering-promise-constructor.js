// class: tampering
// expect: any
Promise = function () { throw 1 }; (async function () { await 1; Spark.setScriptData("a", 1) })();
