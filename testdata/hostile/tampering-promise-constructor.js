// class: tampering
// expect: 200
Promise = function () { throw 1 }; (async function () { await 1; Spark.setScriptData("a", 1) })();
