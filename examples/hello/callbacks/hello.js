var name = Spark.getData().name || "world";

Spark.setScriptData("message", "Hello, " + name + "!");
