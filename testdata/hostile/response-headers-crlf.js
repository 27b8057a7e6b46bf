// class: response
// expect: 200
Spark.setScriptData("RESPONSE_HEADERS", { "X-A": "a\r\nSet-Cookie: b=c", "X-B\r\nX-C": "d" });
