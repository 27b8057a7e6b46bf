// class: parser
// expect: 500
// needs: sandbox
1n << (1n << 40n);
