// class: recursion
// expect: 504
for (;;) try { require("SELF") } catch (e) {}
