// class: web
// expect: 200
(async function () {
	for (var format of ["raw", "spki", "pkcs8"]) for (var name of ["Ed25519", { name: "RSA-PSS", hash: "SHA-256" }, { name: "ECDSA", namedCurve: "P-521" }])
		try { await crypto.subtle.importKey(format, new Uint8Array(1 << 22), name, true, ["verify"]); throw 1 } catch (e) { if (!(e instanceof DOMException)) throw e }
})();
