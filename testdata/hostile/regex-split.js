// class: regex
// expect: 504
// needs: sandbox
("a".repeat(40) + "b").split(/(?=(a+)+c)/);
