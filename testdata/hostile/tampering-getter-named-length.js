// class: tampering
// expect: 200
Object.defineProperty(Object.prototype, "length", { get: function () { return 4294967295 } }); Spark.setScriptData("a", {});
