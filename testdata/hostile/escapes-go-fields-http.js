// class: escapes
// expect: 200
var h = Spark.getHttp("http://127.0.0.1:1/"); var bad = [];
["url", "header", "run", "timeout", "vm", "Header", "runner"].forEach(function (n) { try { if (h[n] !== undefined) bad.push(n) } catch (e) {} });
Spark.setScriptData("bad", bad);
