// class: tampering
// expect: 200
Object.defineProperty(Object.prototype, "a", { set: function () { throw 1 }, get: function () { throw 2 }, configurable: true });
Spark.setScriptData("a", 1); Spark.getScriptData("a");
