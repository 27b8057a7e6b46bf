// class: native-loops
// expect: 504
for (var s = new Set(), i = 0; ; i++) s.add(i % 1000), new Set(s);
