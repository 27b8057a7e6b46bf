// class: errors
// expect: 500
throw 10n;
