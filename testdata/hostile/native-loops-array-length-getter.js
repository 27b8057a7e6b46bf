// class: native-loops
// expect: 504
// needs: sandbox
// The length is not the same when it is read again.
var n = 0;
Array.prototype.indexOf.call({ get length() { return n++ ? 9007199254740991 : 1 } }, 1);
