// class: web
// expect: 504
export default { fetch() { for (;;) {} } };
