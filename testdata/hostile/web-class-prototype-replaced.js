// class: web
// expect: 200
class X extends URL {} Object.setPrototypeOf(X.prototype, null); new X("https://a"); Object.setPrototypeOf(URL.prototype, new Proxy({}, { get() { for (;;) {} } })); if (new URL("https://a").href !== "https://a/") throw 1;
