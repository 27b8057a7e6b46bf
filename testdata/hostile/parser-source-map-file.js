// class: parser
// expect: 200
Spark.setScriptData("a", 1);
//# sourceMappingURL=file:///dev/zero
