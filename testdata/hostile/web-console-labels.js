// class: web
// expect: 200
for (var i = 0; i < 5000; i++) { console.time("t" + i); console.count("c" + i) } for (i = 0; i < 1000; i++) console.group("x".repeat(10000));
