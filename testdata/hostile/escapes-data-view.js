// class: escapes
// expect: 500
var v = new DataView(new ArrayBuffer(8)); v.getFloat64(2 ** 53); v.setInt8(-1, 0);
