// class: growing-allocation
// expect: any
for (var s = "é"; ; ) s += "éééééééééééééééé";
