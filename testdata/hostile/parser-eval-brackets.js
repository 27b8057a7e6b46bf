// class: parser
// expect: any
// needs: sandbox
eval("[".repeat(1 << 20));
