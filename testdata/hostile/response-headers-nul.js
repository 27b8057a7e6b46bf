// class: response
// expect: 200
Spark.setScriptData("RESPONSE_HEADERS", { "X-A": "a\u0000b", "": "x", " ": "y", "X:": "z" });
