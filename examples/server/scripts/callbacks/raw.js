// A raw answer: RESPONSE_RAW takes the place of the JSON. A name that the caller
// repeats is an array.
var items = [].concat(Spark.getData().item || []);

Spark.setScriptData("RESPONSE_RAW", "You carry " + (items.join(" and ") || "nothing") + ".\n");
