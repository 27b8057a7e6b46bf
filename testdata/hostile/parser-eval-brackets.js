// class: parser
// expect: 500
// tier: deep
// needs: sandbox
eval("[".repeat(1 << 20));
