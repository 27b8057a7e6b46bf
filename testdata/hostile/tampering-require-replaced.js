// class: tampering
// expect: 200
require = requireOnce = function () { return 1 }; Spark.setScriptData("a", require("X"));
