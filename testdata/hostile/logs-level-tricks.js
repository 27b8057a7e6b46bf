// class: logs
// expect: 200
Spark.getLog().setLevel("ERROR"); for (var i = 0; i < 1e5; i++) Spark.getLog().debug({ toJSON() { throw 1 } });
