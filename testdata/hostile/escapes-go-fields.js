// class: escapes
// expect: 200
// Members of Go values, if one was given by reflection.
var bad = ["vm", "runner", "call", "ctx", "Logger", "HTTP", "Members", "runtime", "self", "GetClass", "Export"].filter(function (n) { try { return Spark[n] !== undefined } catch (e) { return false } });
Spark.setScriptData("bad", bad);
