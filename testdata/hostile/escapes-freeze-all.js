// class: escapes
// expect: 200
[Object, Array, String, Function, Spark, globalThis].forEach(function (o) { try { Object.freeze(o) } catch (e) {} try { Object.freeze(o.prototype) } catch (e) {} });
Spark.setScriptData("a", 1);
