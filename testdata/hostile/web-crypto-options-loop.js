// class: web
// expect: 504
crypto.subtle.digest({ get name() { for (;;) {} } }, new Uint8Array(1));
