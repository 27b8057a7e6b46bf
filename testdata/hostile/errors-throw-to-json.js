// class: errors
// expect: 500|504
throw { toJSON() { for (;;) {} } };
