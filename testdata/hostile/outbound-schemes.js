// class: outbound
// expect: 200
Spark.setScriptData("r", ["file:///etc/passwd", "gopher://127.0.0.1/", "ftp://127.0.0.1/", "unix:///x", "", "//x", "http://", "http:///x", "javascript:1", "data:,x"].map(function (u) { return String(Spark.getHttp(u).get()) }));
