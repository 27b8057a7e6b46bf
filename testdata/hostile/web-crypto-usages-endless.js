// class: web
// expect: 200
(async function () {
	try { await crypto.subtle.importKey("raw", new Uint8Array(1), { name: "HMAC", hash: "SHA-1" }, true, (function* () { for (;;) yield "sign" })()); throw 1 } catch (e) { if (!(e instanceof RangeError)) throw e }
})();
