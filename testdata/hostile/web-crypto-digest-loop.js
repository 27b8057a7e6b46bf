// class: web
// expect: 504
(async function () { var b = new Uint8Array(1 << 24); for (;;) await crypto.subtle.digest("SHA-512", b) })();
