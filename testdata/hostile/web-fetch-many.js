// class: web
// expect: 200
var all = []; for (var i = 0; i < 2000; i++) all.push(fetch("http://127.0.0.1:1/" + i).catch(function (e) { if (!(e instanceof TypeError)) throw e }));
Promise.all(all);
