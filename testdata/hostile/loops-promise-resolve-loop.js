// class: loops
// expect: 504
(async function () { for (;;) await null })();
