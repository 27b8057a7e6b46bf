// class: escapes
// expect: 200
Promise.prototype.then = function () { for (;;) {} }; (async function () { await 1 })();
