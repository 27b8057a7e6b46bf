// class: errors
// expect: 500
throw { toJSON() { for (;;) {} } };
