// class: outbound
// expect: 200
Spark.setScriptData("r", ["http://169.254.169.254/latest/", "http://[::ffff:169.254.169.254]/", "http://2852039166/", "http://0xa9fea9fe/", "http://[fd00:ec2::254]/", "http://0/", "http://[::]/", "http://127.1/"].map(function (u) { return String(Spark.getHttp(u, 20).get()) }));
