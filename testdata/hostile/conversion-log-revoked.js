// class: conversion
// expect: 200
var r = Proxy.revocable({}, {}); r.revoke(); Spark.getLog().info(r.proxy);
