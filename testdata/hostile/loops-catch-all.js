// class: loops
// expect: 504
// An interrupt is not an exception that a script could keep.
for (;;) { try { for (;;) {} } catch (e) {} finally { continue } }
