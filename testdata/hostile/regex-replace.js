// class: regex
// expect: any
// needs: sandbox
("a".repeat(45) + "b").replace(/(a|aa)+(?!.*a)c/, "");
