// class: conversion
// expect: 504
var a = []; a[Symbol.iterator] = function* () { for (;;) yield "x" };
Spark.getHttp("http://127.0.0.1:1/").setHeaders({ a: a });
