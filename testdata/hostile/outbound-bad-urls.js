// class: outbound
// expect: 200
Spark.setScriptData("r", ["http://a\r\nb/", "http://\u0000/", "http://[::1", "http://a:99999/", "http://a:b/", "http://%zz/", "http://" + "a".repeat(1 << 20) + "/", "http://x@127.0.0.1:1@127.0.0.1:1/"].map(function (u) { return String(Spark.getHttp(u, 10).get()) }));
