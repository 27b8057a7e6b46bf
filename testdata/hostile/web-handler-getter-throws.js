// class: web
// expect: 500
export default { get fetch() { throw { get message() { throw 1 } } } };
