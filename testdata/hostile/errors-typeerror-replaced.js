// class: errors
// expect: 500
TypeError = function () { for (;;) {} }; Error = TypeError; null.x;
