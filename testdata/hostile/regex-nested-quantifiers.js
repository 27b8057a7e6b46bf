// class: regex
// expect: any
// needs: sandbox
/((a*)*)*\1b/.exec("a".repeat(30));
