// class: web
// expect: 200
var id = setInterval(function () { for (var i = 0; i < 100; i++) clearInterval(i) }, 1);
