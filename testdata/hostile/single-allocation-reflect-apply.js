// class: single-allocation
// expect: 500
Reflect.apply(function () {}, null, { length: 4294967295 });
