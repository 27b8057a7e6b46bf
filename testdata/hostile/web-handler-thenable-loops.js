// class: web
// expect: 504
export default { fetch() { return { then() { for (;;) {} } } } };
