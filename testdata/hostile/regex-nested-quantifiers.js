// class: regex
// expect: 504
// needs: sandbox
/((a*)*)*\1b/.exec("a".repeat(30));
