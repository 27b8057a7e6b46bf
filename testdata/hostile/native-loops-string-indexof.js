// class: native-loops
// expect: 200
var s = "é" + "ab".repeat(4000000); s.indexOf("ab".repeat(2000000) + "c");
