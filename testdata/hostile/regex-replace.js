// class: regex
// expect: 504
// needs: sandbox
("a".repeat(45) + "b").replace(/(a|aa)+(?!.*a)c/, "");
