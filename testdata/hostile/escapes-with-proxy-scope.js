// class: escapes
// expect: 504
with (new Proxy({}, { has: function () { return true }, get: function (t, k) { if (k !== Symbol.unscopables) for (;;) {} } })) { Spark }
