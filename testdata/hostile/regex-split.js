// class: regex
// expect: any
// needs: sandbox
("a".repeat(40) + "b").split(/(?=(a+)+c)/);
