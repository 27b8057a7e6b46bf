// class: native-loops
// expect: 504
// A map that grows while it is walked.
var m = new Map([[0, 0]]); m.forEach(function (v, k) { m.delete(k); m.set(k + 1, v) });
