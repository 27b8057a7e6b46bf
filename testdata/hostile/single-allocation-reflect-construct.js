// class: single-allocation
// expect: 500
Reflect.construct(Date, { length: 4294967295 });
