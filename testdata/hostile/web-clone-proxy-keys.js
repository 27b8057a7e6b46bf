// class: web
// expect: 200
try { structuredClone(new Proxy({}, { ownKeys() { for (;;) {} } })); throw 1 } catch (e) { if (e.name !== "DataCloneError") throw e }
