// class: outbound
// expect: 504
for (var a = []; ; ) a.push(Spark.getHttp("http://127.0.0.1:1/").setHeaders({ "X-A": "x".repeat(1000) }));
