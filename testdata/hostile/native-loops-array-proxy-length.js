// class: native-loops
// expect: 500
Array.prototype.every.call(new Proxy([], { get: function (t, k) { return k === "length" ? 9007199254740991 : true } }), Boolean);
