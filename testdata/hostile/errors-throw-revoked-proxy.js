// class: errors
// expect: 500
var r = Proxy.revocable({}, {}); r.revoke(); throw r.proxy;
