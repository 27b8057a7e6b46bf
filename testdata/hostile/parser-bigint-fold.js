// class: parser
// expect: any
// needs: sandbox
1n << (1n << 40n);
