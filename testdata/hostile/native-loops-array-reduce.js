// class: native-loops
// expect: 500
var a = []; a.length = 4294967295; a.reduceRight(function () {}, 0);
