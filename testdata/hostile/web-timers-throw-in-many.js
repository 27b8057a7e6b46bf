// class: web
// expect: 500
for (var i = 0; i < 100; i++) setTimeout(function () { throw { get message() { for (;;) {} } } }, i);
