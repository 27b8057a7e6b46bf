// class: growing-allocation
// expect: 504
for (var s = "é"; ; ) s += "éééééééééééééééé";
