// class: escapes
// expect: 200
Spark.setScriptData.call({}, "a", 1); Spark.getData.apply(null); Spark.getLog().info.call(undefined, "x");
