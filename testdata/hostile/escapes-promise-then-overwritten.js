// class: escapes
// expect: any
Promise.prototype.then = function () { for (;;) {} }; (async function () { await 1 })();
