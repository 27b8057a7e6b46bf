// class: web
// expect: 200
(async function () {
	var n = "x".repeat(80000);
	try { await crypto.subtle.importKey("jwk", { kty: "RSA", n: n, e: n, d: n, p: n, q: n, dp: n, dq: n, qi: n }, { name: "RSA-PSS", hash: "SHA-512" }, true, ["sign"]); throw 1 } catch (e) { if (!(e instanceof DOMException)) throw e }
})();
