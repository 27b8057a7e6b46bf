// class: native-loops
// expect: any
// needs: sandbox
"x".repeat(1 << 20).replace(/x/g, "y".repeat(1 << 20));
