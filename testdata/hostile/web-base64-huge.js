// class: web
// expect: 200
var s = "A".repeat(1 << 24); for (var i = 0; i < 4; i++) if (btoa(atob(s)) !== s) throw 1;
