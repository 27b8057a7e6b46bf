// class: parser
// expect: any
#!/bin/sh
Spark.setScriptData("a", 1);
