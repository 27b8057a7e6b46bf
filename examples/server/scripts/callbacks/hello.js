// A JSON answer: the values that a script sets, in the order in which it sets them.
requireOnce("GREETING");

var data = Spark.getData();
Spark.setScriptData("message", greeting(data.name));
Spark.setScriptData("data", data);
