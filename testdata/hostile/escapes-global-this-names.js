// class: escapes
// expect: 200
var names = []; for (var o = globalThis; o; o = Object.getPrototypeOf(o)) names = names.concat(Object.getOwnPropertyNames(o));
Spark.setScriptData("bad", names.filter(function (n) { return /^(process|java|Packages|os|Deno|Bun|console|module|exports|fetch|WebAssembly)$/.test(n) }));
