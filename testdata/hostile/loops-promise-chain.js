// class: loops
// expect: 504
// Microtasks that make microtasks.
function again() { Promise.resolve().then(again) }
again();
