// class: response
// expect: any
Spark.setScriptData("RESPONSE_HEADERS", { "Set-Cookie": new Array(100000).fill("a=b") });
