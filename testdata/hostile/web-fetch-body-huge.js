// class: web
// expect: 200
fetch("http://127.0.0.1:1/", { method: "POST", body: new Uint8Array(1 << 24) }).catch(function (e) { if (!(e instanceof TypeError)) throw e });
