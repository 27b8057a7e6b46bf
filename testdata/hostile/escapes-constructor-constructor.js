// class: escapes
// expect: 500
this.constructor.constructor("return process")().exit();
