// class: web
// expect: 504
var s = new AbortController().signal, all = []; for (;;) all.push(AbortSignal.any([s, s, s]));
