// class: response
// expect: 200
var h = {}; h["X".repeat(1 << 20)] = "v"; Spark.setScriptData("RESPONSE_HEADERS", h);
