// class: web
// expect: 200
[URL, Headers, Request, Response, TextDecoder, AbortController, DOMException].forEach(function (c) { try { c("https://a"); throw 1 } catch (e) { if (!(e instanceof TypeError)) throw e } });
Reflect.construct(URL, ["https://a"], Object);
