// class: single-allocation
// expect: 500
(function () {}).apply(null, { length: 4294967295 });
