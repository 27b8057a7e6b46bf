// class: loops
// expect: 504
Promise.resolve().then(function tick() { return Promise.resolve().then(tick) });
