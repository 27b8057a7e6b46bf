// class: tampering
// expect: 200
Object.defineProperty(Array.prototype, 0, { set: function () { throw 1 }, get: function () { return 7 }, configurable: true });
Spark.setScriptData("a", [1]); Spark.getScriptData("a"); Spark.getData();
