// class: conversion
// expect: 504
var n = new Number(1); n.valueOf = function () { for (;;) {} }; Spark.setScriptData("a", n);
