// class: web
// expect: 200
Object.defineProperty(Object.prototype, "then", { get() { Spark.exit() }, configurable: true });
new Response("{}").json();
setTimeout(function () { throw 1 }, 1);
