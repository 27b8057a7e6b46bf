// class: loops
// expect: 504
switch (1) { case { valueOf() { return 1 } }: case (function () { for (;;) {} })(): }
