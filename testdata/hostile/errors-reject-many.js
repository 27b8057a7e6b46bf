// class: errors
// expect: any
for (var i = 0; i < 1e5; i++) Promise.reject(i);
