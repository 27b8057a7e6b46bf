// class: errors
// expect: 500
for (var i = 0; i < 1e5; i++) Promise.reject(i);
