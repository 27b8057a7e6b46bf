// class: response
// expect: 200
Spark.setScriptData("RESPONSE_HEADERS", { "X-A": [[["x"]]], "X-B": { a: 1 }, "X-C": null });
