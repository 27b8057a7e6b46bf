// class: web
// expect: 200
var get = Object.getOwnPropertyDescriptor(URL.prototype, "href").get, n = 0;
[{}, Object.create(new URL("https://a")), new Proxy(new URL("https://a"), {}), new URLSearchParams(), null, URL.prototype].forEach(function (o) { try { get.call(o) } catch (e) { if (e instanceof TypeError) n++ } });
if (n !== 6) throw n;
