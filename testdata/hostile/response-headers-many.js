// class: response
// expect: 200
var h = {}; for (var i = 0; i < 1e5; i++) h["X-" + i] = "v"; Spark.setScriptData("RESPONSE_HEADERS", h);
