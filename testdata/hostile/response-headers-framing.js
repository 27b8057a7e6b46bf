// class: response
// expect: 200
Spark.setScriptData("RESPONSE_HEADERS", { "Content-Length": "1", "Transfer-Encoding": "chunked", Connection: "upgrade", Upgrade: "h2c", Trailer: "X", "Trailer:X": "y" });
