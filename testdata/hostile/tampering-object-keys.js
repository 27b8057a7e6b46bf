// class: tampering
// expect: 200
Object.keys = Object.assign = Object.defineProperty = function () { throw 1 }; Spark.setScriptData("a", { b: 1 });
