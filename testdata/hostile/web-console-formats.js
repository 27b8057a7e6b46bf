// class: web
// expect: 200
console.log("%s".repeat(1e5), ...new Array(500).fill("x".repeat(1000))); console.log("%".repeat(1e6), 1); console.log({ toJSON() { throw 1 } }, Symbol(), function () {});
