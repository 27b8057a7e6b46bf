// class: errors
// expect: 500|504
throw { toString() { for (;;) {} }, get message() { for (;;) {} } };
