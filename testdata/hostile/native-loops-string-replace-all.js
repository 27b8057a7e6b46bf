// class: native-loops
// expect: 500
// tier: deep
// needs: sandbox
"x".repeat(1 << 20).replace(/x/g, "y".repeat(1 << 20));
