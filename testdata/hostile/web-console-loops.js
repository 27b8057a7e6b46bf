// class: web
// expect: 504
console.log({ toJSON() { for (;;) {} } });
