// class: outbound
// expect: 200
for (var i = 0; i < 1000; i++) Promise.resolve().then(function () { Spark.getHttp("http://127.0.0.1:1/", 2).get() });
