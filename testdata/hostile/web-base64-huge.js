// class: web
// expect: 200
var s = "A".repeat(1 << 22); for (var i = 0; i < 16; i++) if (btoa(atob(s)) !== s) throw 1;
