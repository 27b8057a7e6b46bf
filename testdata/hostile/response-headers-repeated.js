// class: response
// expect: 200
Spark.setScriptData("RESPONSE_HEADERS", { "Set-Cookie": new Array(100000).fill("a=b") });
