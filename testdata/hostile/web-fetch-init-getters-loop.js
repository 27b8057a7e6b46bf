// class: web
// expect: 504
fetch("http://127.0.0.1:1/", { get headers() { for (;;) {} } });
