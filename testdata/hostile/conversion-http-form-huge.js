// class: conversion
// expect: 200
// tier: deep
var o = {}; for (var i = 0; i < 1e5; i++) o["k" + i] = "é".repeat(100);
Spark.getHttp("http://127.0.0.1:1/").postForm(o);
