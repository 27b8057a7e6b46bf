// class: loops
// expect: 200
Promise.resolve().then(function () { try { Spark.exit() } catch (e) { for (;;) {} } });
