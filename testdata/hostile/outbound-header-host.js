// class: outbound
// expect: 200
Spark.getHttp("http://127.0.0.1:1/").setHeaders({ Host: "x", "Content-Length": "99", "Transfer-Encoding": "chunked", Connection: "close" }).get();
