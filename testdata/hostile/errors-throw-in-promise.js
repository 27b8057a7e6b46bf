// class: errors
// expect: 500
Promise.reject({ toString() { throw this } });
