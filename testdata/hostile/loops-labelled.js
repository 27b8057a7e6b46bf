// class: loops
// expect: 504
outer: for (;;) { for (;;) { continue outer } }
