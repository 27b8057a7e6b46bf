// class: parser
// expect: 200
#!/bin/sh
Spark.setScriptData("a", 1);
