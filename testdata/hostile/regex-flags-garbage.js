// class: regex
// expect: 500
new RegExp("a", "gimsuyx");
