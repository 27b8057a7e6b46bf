// class: tampering
// expect: 504
Array.prototype[Symbol.iterator] = function* () { for (;;) yield 1 };
Spark.getHttp("http://127.0.0.1:1/").setHeaders({ a: ["b"] });
