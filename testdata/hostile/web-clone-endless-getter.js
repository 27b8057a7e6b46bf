// class: web
// expect: 504
structuredClone({ get a() { for (;;) {} } });
