// class: recursion
// expect: any
for (;;) try { require("SELF") } catch (e) {}
