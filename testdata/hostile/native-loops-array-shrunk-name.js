// class: native-loops
// expect: 504
// needs: sandbox
var f = [].fill, n = 1;
for (var i = 0; i < 32; i++) n *= 2;
var a = []; a[n - 2] = 1; f.call(a, 0);
