// class: native-loops
// expect: 504
// needs: sandbox
// A mistake, not malice: ids as indexes.
var byId = [], id = 4000000000; byId[id] = "Ann";
byId.forEach(function (name) { Spark.setScriptData("name", name) });
