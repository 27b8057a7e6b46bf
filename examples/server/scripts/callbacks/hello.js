// A JSON answer: what a script sets, in the order it sets it.
requireOnce("GREETING");

var data = Spark.getData();
Spark.setScriptData("message", greeting(data.name));
Spark.setScriptData("data", data);
