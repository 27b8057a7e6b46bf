// class: errors
// expect: 500
throw { toString() { for (;;) {} }, get message() { for (;;) {} } };
